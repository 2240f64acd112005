import humanize

print("hello from Python,", humanize.intcomma(1234567))
