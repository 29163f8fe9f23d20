rm -rf stations charts
rm -f names report.txt ./*.mean ./*.days
