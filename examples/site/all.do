# Every page of the site.
redo-ifchange pages
sed 's/.*/html\/&.html/' pages | xargs redo-ifchange
