import Communication
import Testing

@Suite("Interfaces that lead to no other host")
struct NetworkInterfacesTests {
  private func exclusion(
    _ interfaces: [String], environment: [String: String] = [:], settings: [String] = []
  ) -> String? {
    NetworkInterfaces.exclusion(interfaces: interfaces, environment: environment, settings: settings)
  }

  @Test("bridges of containers and virtual machines are left alone, besides what Open MPI leaves alone")
  func bridges() {
    #expect(
      exclusion(["lo", "eth0", "docker0", "br-0a1b2c3d4e5f", "virbr0", "ib0"])
        == "127.0.0.1/8,sppp,docker0,br-0a1b2c3d4e5f,virbr0")
  }

  @Test("a bridge that carries the host's own network is used")
  func ownBridges() {
    #expect(exclusion(["lo", "eth0", "br0", "br-lan", "br-production12"]) == nil)
  }

  @Test(
    "what the user or the cluster has chosen stands",
    arguments: ["OMPI_MCA_btl_tcp_if_include", "OMPI_MCA_btl_tcp_if_exclude"])
  func chosen(variable: String) {
    #expect(exclusion(["eth0", "docker0"], environment: [variable: "eth0"]) == nil)
    #expect(exclusion(["eth0", "docker0"], settings: ["# ours\n btl_tcp_if_include = eth0\n"]) == nil)
    #expect(exclusion(["eth0", "docker0"], settings: ["# btl_tcp_if_include = eth0\n"]) != nil)
  }
}
