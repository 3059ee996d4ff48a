"""eSpeak NG: real speech on any CPU, from the `espeakng-loader` wheel."""
