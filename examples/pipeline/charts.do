# A directory of charts, one for each station.
redo-ifchange names
sed 's/$/.days/' names | tr '\n' '\0' | xargs -0 redo-ifchange
mkdir "$3"
while read -r name; do
    awk -F, '{ printf "%s ", $1; for (i = 0; i < $2; i++) printf "#"; print "" }' "$name.days" >"$3/$name"
done <names
