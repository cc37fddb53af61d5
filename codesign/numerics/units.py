"""SI constants for conversion at the edges: inside, everything is s, B, B/s, FLOP, FLOP/s, J, W,
m², K and USD.

Multiply to enter (``3.35 * TERA``, ``814 * SQUARE_MILLIMETRE``), divide to print.

>>> round(96 * GIBI / GIGA, 1)  # 96 GiB in GB
103.1
"""

KILO, MEGA, GIGA, TERA, PETA = 1e3, 1e6, 1e9, 1e12, 1e15
KIBI, MEBI, GIBI, TEBI = 2.0**10, 2.0**20, 2.0**30, 2.0**40
MILLI, MICRO, NANO, PICO = 1e-3, 1e-6, 1e-9, 1e-12

BITS_PER_BYTE = 8.0
SQUARE_MILLIMETRE = 1e-6  # [m²]
SQUARE_CENTIMETRE = 1e-4  # [m²]
MILLIMETRE = 1e-3  # [m]

HOUR = 3600.0  # [s]
YEAR = 365.25 * 24 * HOUR  # [s]
KILOWATT_HOUR = 3.6e6  # [J]
CELSIUS_OFFSET = 273.15  # [K]
