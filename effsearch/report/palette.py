"""Colours of pictures and of the page: Okabe and Ito's, which those who see few colours can tell apart."""

LIGHT = {
    "blue": "#0072b2",
    "vermillion": "#d55e00",
    "green": "#007a5a",
    "purple": "#a8457f",
    "orange": "#b87800",
    "sky": "#3a8fc7",
    "grey": "#8a929b",
}
"""On white; those that are too pale there for a thin line are darker than the original."""

DARK = {
    "blue": "#56b4e9",
    "vermillion": "#ff8a4c",
    "green": "#2fc49a",
    "purple": "#e29ac4",
    "orange": "#f0b93a",
    "sky": "#9ad1f5",
    "grey": "#7f8893",
}

CYCLE = ("blue", "vermillion", "green", "purple", "orange", "sky")
