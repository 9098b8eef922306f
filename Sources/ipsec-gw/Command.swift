import ArgumentParser

/// `ipsec-gw`, the daemon (programs.md).
@main
struct Command: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ipsec-gw", abstract: "A remote-access VPN gateway: IKEv2 and ESP.",
        subcommands: [Run.self, Check.self, DefaultConfig.self, Certificates.self, Version.self])

    static let defaultPath = "/etc/ipsec-gw/ipsec-gw.yaml"
}
