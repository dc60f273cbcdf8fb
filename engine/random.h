// Random numbers on the host: random4(seed, pass, site, group) of the kernels' own generator.
#pragma once
#include "kernels/philox.h"
