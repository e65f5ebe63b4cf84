# Upstream's built-in web server is not used here, Apache is. `weblab-admin start` needs this file anyway. Written
# by bringup.
PATHS = []
