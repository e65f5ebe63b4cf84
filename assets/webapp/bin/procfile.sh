line=$(sed -n "s/^$process:[[:space:]]*//p" Procfile 2>/dev/null | head -n 1)
if [ -z "$line" ]; then
    echo "which command starts \`$process\` is unknown: name it in the answers{{ ', as the script start in package.json,' if locals.node else '' }} or in a Procfile" >&2
    exit 78
fi
exec sh -c "$line"
