line=$(sed -n "s/^$process:[[:space:]]*//p" Procfile 2>/dev/null | head -n 1)
{% if locals.node %}
if [ "$process" = web ]; then
    line=$(node -p '(require("./package.json").scripts || {}).start || process.argv[1]' "$line" 2>/dev/null || printf %s "$line")
fi
{% endif %}
if [ -z "$line" ]; then
    echo "which command starts \`$process\` is unknown: name it in the answers{{ ', as the script start in package.json,' if locals.node else '' }} or in a Procfile" >&2
    exit 78
fi
exec sh -c "$line"
