rm -f index.html sources
find notes \( -name '*.html' -o -name '*.words' \) -exec rm -f {} +
