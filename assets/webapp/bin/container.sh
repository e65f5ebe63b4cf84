set -eu
set -a
. /etc/{{ application.name }}/env
set +a
# What starts later, such as a job, is of the release that is in place then.
container_release=$(readlink -f /opt/{{ application.name }}/app)
# Options for this container, and what starts podman. The settings go by their names: no command line holds a value.
container_options=
for container_name in $container_settings; do
    container_options="$container_options --env $container_name"
done
container_start=exec
# Runs a line of the answers in a container: $1 is the container's name. What a shell would have to read is read by the
# image's, never by this one, which is root's.
run_line() {
    case $2 in
    *[!A-Za-z0-9\ _./:=@%+,-]*) run_image "$1" sh -c "$2" ;;
    *) run_image "$1" $2 ;;
    esac
}
# Runs the image in the foreground: $1 is the container's name, and the rest a command in the place of the image's own. The
# network is in a process (slirp4netns), with no bridge, no forwarding and no rule in the firewall. The launcher is the same
# for every podman since 3.0, so there is no quadlet.
run_image() {
    container_name=$1
    shift
    $container_start "$container_release/podman" run --rm --replace --name "$container_name" --pull never \
        --cgroups=split --log-driver none --sdnotify ignore --http-proxy=false --init --init-path /usr/bin/catatonit \
        --network slirp4netns:allow_host_loopback={{ 'true' if locals.reaches_loopback else 'false' }},enable_ipv6={{ 'true' if facts.ipv6 else 'false' }} \
        --user "$(id -u {{ application.name }}):$(id -g {{ application.name }})" \
        --cap-drop=all --security-opt=no-new-privileges --read-only --image-volume ignore \
        --volume /var/lib/{{ application.name }}:{{ locals.data_path }} \
{% for path in locals.scratch %}
        --tmpfs {{ path }}:rw,nosuid,nodev,mode=1777,notmpcopyup \
{% endfor %}
{% if database.auth == 'socket' and database.engine == 'postgresql' %}
        --volume {{ locals.cluster_socket }}:{{ locals.cluster_socket }}:ro \
{% elif database.auth == 'socket' %}
        --volume "$(dirname {{ locals.mariadb_socket }}):$(dirname {{ locals.mariadb_socket }}):ro" \
{% endif %}
{% if database.ca %}
        --volume {{ database.ca }}:{{ database.ca }}:ro \
{% endif %}
        --env HOME={{ locals.data_path }} $container_options \
        "$(cat "$container_release/image")" "$@"
}
