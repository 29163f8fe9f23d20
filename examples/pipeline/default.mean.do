redo-ifchange "$2.days"
awk -F, '{ sum += $2 } END { printf "%.1f\n", sum / NR }' "$2.days"
