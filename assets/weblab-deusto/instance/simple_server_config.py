# Upstream's built-in web server is not used here, Apache is. `weblab-admin start` wants this file all the same. Written
# by bringup.
PATHS = []
