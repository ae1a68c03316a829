import CMPI
func x() { _ = peco_mpi_comm_world() }
