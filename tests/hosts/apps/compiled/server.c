/* Answers every request with one line: on the socket that systemd passed on, or on $HOST:$PORT. */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char ANSWER[] =
    "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 12\r\nConnection: close\r\n\r\nrelease one\n";
static volatile sig_atomic_t stopped;

static void stop(int number)
{
    (void)number;
    stopped = 1;
}

int main(void)
{
    struct sigaction action = {.sa_handler = stop};
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    int listener = 3;
    if (getenv("LISTEN_FDS") == NULL) {
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(getenv("PORT")))};
        inet_pton(AF_INET, getenv("HOST"), &address.sin_addr);
        listener = socket(AF_INET, SOCK_STREAM, 0);
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
        if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 128) != 0)
            return 1;
    }
    while (!stopped) {
        char request[8192];
        int visitor = accept(listener, NULL, NULL);
        if (visitor < 0)
            continue;
        ssize_t size;
        do
            size = read(visitor, request, sizeof request);
        while (size < 0 && errno == EINTR);
        if (size > 0)
            (void)!write(visitor, ANSWER, strlen(ANSWER));
        close(visitor);
    }
    return 0;
}
