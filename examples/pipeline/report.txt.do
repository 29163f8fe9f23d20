redo-ifchange names
sed 's/$/.mean/' names | tr '\n' '\0' | xargs -0 redo-ifchange
while read -r name; do
    read -r mean <"$name.mean"
    printf '%-12s %6s\n' "$name" "$mean"
done <names
