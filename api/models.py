"""Models: the cards that requests are validated against, also in the shape that clients of OpenAI's API read."""

from __future__ import annotations

from typing import Literal, Self

from fastapi import APIRouter, Request, Response

from api.answers import json_response
from api.speech.request import unknown_model
from api.speech.studio import studio_of
from api.state import state_of
from farm.wire import Model, Page

router = APIRouter(prefix="/v1/models", tags=["farm"])


class ListedModel(Model):
    id: str
    object: Literal["model"] = "model"
    created: int = 0  # OpenAI's shape has it, and the farm does not know it
    owned_by: str = "tts-farm"

    @classmethod
    def of(cls, card: Model) -> Self:
        return cls(id=card.name, **card.model_dump())


class ModelList(Page[ListedModel]):
    object: Literal["list"] = "list"


@router.get("", response_model=ModelList)
async def list_models(request: Request) -> Response:
    """What requests are validated against: languages, voices and parameters of every model that a worker announced."""
    cards = await state_of(request).cards.get()
    return json_response(ModelList(data=[ListedModel.of(cards[name]) for name in sorted(cards)], has_more=False))


@router.get("/{name}", response_model=ListedModel)
async def show(request: Request, name: str) -> Response:
    """One model, also by an alias of it."""
    state = state_of(request)
    cards = await state.cards.get()
    card = cards.get(studio_of(request).aliases.model(name, cards) or state.settings.model)
    if card is None:
        raise unknown_model(name, cards)
    return json_response(ListedModel.of(card))
