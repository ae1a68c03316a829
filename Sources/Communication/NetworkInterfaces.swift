import Foundation

/// Which network interfaces of this node Open MPI must not use.
///
/// Containers and virtual machines make bridges that lead nowhere but into their own host, and Docker's has the
/// same address, 172.17.0.1, on every host. Open MPI takes it for a way from one host to another, and ranks that
/// would meet over it wait for each other without end.
public enum NetworkInterfaces {
  /// The setting of Open MPI that names interfaces to leave alone.
  static let setting = "OMPI_MCA_btl_tcp_if_exclude"

  /// The value for `setting` on this node; nil where there is nothing to leave alone, or where the user or the
  /// cluster has chosen interfaces already, which Open MPI does not allow to combine.
  static func exclusion(environment: [String: String]) -> String? {
    let files = [
      "/etc/openmpi/openmpi-mca-params.conf", (environment["HOME"] ?? "") + "/.openmpi/mca-params.conf",
    ]
    return exclusion(
      interfaces: interfaceNames(), environment: environment,
      settings: files.compactMap { try? String(contentsOfFile: $0, encoding: .utf8) })
  }

  /// The rule, as a function of all it depends on.
  ///
  /// - Parameters:
  ///   - interfaces: The names of the interfaces that there are.
  ///   - environment: The process's variables.
  ///   - settings: The contents of Open MPI's files of settings.
  public static func exclusion(
    interfaces: [String], environment: [String: String], settings: [String]
  ) -> String? {
    let isChosen =
      ["include", "exclude"].contains { environment["OMPI_MCA_btl_tcp_if_\($0)"] != nil }
      || settings.contains { text in
        text.split(separator: "\n").contains {
          $0.trimmingCharacters(in: .whitespaces).hasPrefix("btl_tcp_if_")
        }
      }
    let inner = interfaces.filter(isInner)
    guard !isChosen, !inner.isEmpty else { return nil }
    // The first two are Open MPI's own.
    return (["127.0.0.1/8", "sppp"] + inner).joined(separator: ",")
  }

  /// Whether an interface has a name that Docker, Podman, Kubernetes, libvirt, LXC or Incus give to their bridges.
  private static func isInner(_ name: String) -> Bool {
    if ["docker", "podman", "cni", "virbr", "lxcbr", "lxdbr", "incusbr"].contains(where: name.hasPrefix) {
      return true
    }
    // Docker's further networks: br-, and twelve hexadecimal digits.
    let digits = name.dropFirst(3)
    return name.hasPrefix("br-") && digits.count == 12 && digits.allSatisfy(\.isHexDigit)
  }

  private static func interfaceNames() -> [String] {
    guard let first = if_nameindex() else { return [] }
    defer { if_freenameindex(first) }
    var names: [String] = []
    var entry = first
    while let name = entry.pointee.if_name {
      names.append(String(cString: name))
      entry += 1
    }
    return names
  }
}
