redo-ifchange "../$2.gmi" ../page.awk ../pages
awk -f ../page.awk -v pages="$(tr '\n' ' ' <../pages)" "../$2.gmi"
