PATH=$PWD/node_modules/.bin:{% if locals.interpreter %}{{ locals.interpreter_directory }}:{% endif %}$PATH
export PATH
{% if locals.interpreter %}
# Debian's Node trusts the authorities that this server trusts; another one has only its own.
authorities=/etc/ssl/certs/ca-certificates.crt
[ ! -e "$authorities" ] || export NODE_EXTRA_CA_CERTS="${NODE_EXTRA_CA_CERTS-$authorities}"
{% endif %}
