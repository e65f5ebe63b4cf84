# Read by the tools of weblab-admin. Written by bringup: there are no debugging ports here.
SERVERS = []
BASE_URL = ''
PORTS = {
    'json': {{ figures.core_ports | json }},
}
