#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "greet.h"

int main(int argc, char **argv)
{
    char line[128] = "";
    struct stat status;
    FILE *motd = fopen("assets/motd", "r");
    if (!motd || !fgets(line, sizeof line, motd) || fstat(fileno(motd), &status))
        return 1;
    printf("%s %s, version %s\n", greeting(), argc > 1 ? argv[1] : "nobody", getenv("APP_VERSION"));
    printf("as %d of %d, motd owned by %d: %s", getuid(), getgid(), status.st_uid, line);
    return 0;
}
