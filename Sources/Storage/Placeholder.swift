import CHDF5
func x() { _ = peco_h5_native_float() }
