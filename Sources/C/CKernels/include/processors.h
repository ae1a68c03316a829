// What this process runs on.
#pragma once

/// Number of processors in this process's affinity mask, or 0 where that is unknown.
int peco_available_processors(void);

/// The widest vector instructions the processor and the operating system offer: 512, 256 or 128 bits.
int peco_vector_bits(void);
