#include "croost.h"
