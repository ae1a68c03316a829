// Open MPI's communicators, datatypes and operations are macros that Swift cannot import;
// the functions here hand them out.
#pragma once
#include <mpi.h>

static inline MPI_Comm peco_mpi_comm_world(void) { return MPI_COMM_WORLD; }

static inline MPI_Datatype peco_mpi_byte(void) { return MPI_BYTE; }
static inline MPI_Datatype peco_mpi_float(void) { return MPI_FLOAT; }
static inline MPI_Datatype peco_mpi_double(void) { return MPI_DOUBLE; }
static inline MPI_Datatype peco_mpi_int64(void) { return MPI_INT64_T; }
static inline MPI_Datatype peco_mpi_uint16(void) { return MPI_UINT16_T; }

static inline MPI_Op peco_mpi_sum(void) { return MPI_SUM; }
static inline MPI_Op peco_mpi_max(void) { return MPI_MAX; }
static inline MPI_Op peco_mpi_min(void) { return MPI_MIN; }

// Sum, maximum or minimum over all ranks, written over the input.
static inline int peco_mpi_allreduce_in_place(
    void *buffer, int count, MPI_Datatype type, MPI_Op operation, MPI_Comm communicator) {
  return MPI_Allreduce(MPI_IN_PLACE, buffer, count, type, operation, communicator);
}

static inline int peco_mpi_receive(
    void *buffer, int count, MPI_Datatype type, int source, int tag, MPI_Comm communicator) {
  return MPI_Recv(buffer, count, type, source, tag, communicator, MPI_STATUS_IGNORE);
}

static inline int peco_mpi_test(MPI_Request *request, int *done) {
  return MPI_Test(request, done, MPI_STATUS_IGNORE);
}

// A communicator of the ranks that share this node's memory.
static inline int peco_mpi_split_by_node(MPI_Comm communicator, MPI_Comm *node) {
  return MPI_Comm_split_type(communicator, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, node);
}

static inline int peco_mpi_return_errors(MPI_Comm communicator) {
  return MPI_Comm_set_errhandler(communicator, MPI_ERRORS_RETURN);
}
