// Open MPI's communicators, datatypes and operations are macros that Swift cannot import;
// the functions here hand them out.
#pragma once
#include <mpi.h>

static inline MPI_Comm peco_mpi_comm_world(void) { return MPI_COMM_WORLD; }
static inline MPI_Datatype peco_mpi_float(void) { return MPI_FLOAT; }
