from hypothesis import settings

# A machine that also trains may take a moment over any example: no test here is about time.
settings.register_profile("effsearch", deadline=None)
settings.load_profile("effsearch")
