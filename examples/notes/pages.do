redo-ifchange sources
sed 's/txt$/html/' sources | tr '\n' '\0' | xargs -0 redo-ifchange
