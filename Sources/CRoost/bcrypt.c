#include "croost_bcrypt.h"

#include <crypt.h>
#include <stdlib.h>
#include <string.h>

int croost_bcrypt(const char *phrase, const char *setting, char *out, size_t out_size) {
    // The working area is 32 KiB: too much for the stack of a small thread.
    struct crypt_data *data = calloc(1, sizeof *data);
    if (data == NULL) return -1;
    const char *hash = crypt_r(phrase, setting, data);
    int result = -1;
    // Failures are texts that begin with an asterisk.
    if (hash != NULL && hash[0] == '$' && strlen(hash) < out_size) {
        strcpy(out, hash);
        result = 0;
    }
    explicit_bzero(data, sizeof *data);
    free(data);
    return result;
}
