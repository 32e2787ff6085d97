#pragma once
#include <stddef.h>

/// Hashes a phrase by crypt_r(3) with a bcrypt setting (`$2b$12$` and 22 characters of salt, or a whole hash) into
/// `out`. Returns 0, or -1 when the setting is not one that libcrypt knows or `out` is too small.
int croost_bcrypt(const char *phrase, const char *setting, char *out, size_t out_size);
