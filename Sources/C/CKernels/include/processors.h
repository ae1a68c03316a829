// What the operating system lets this process run on.
#pragma once

/// Number of processors in this process's affinity mask, or 0 where that is unknown.
int peco_available_processors(void);
