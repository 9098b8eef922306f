import ArgumentParser
import Gateway
import GatewayCrypto

/// `ipsec-gw version`.
struct Version: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Prints the versions of the gateway and its libraries.")

    func run() {
        print("ipsec-gw \(GatewayVersion.text)")
        print("crypto   \(CryptoLibrary.version)")
        // With crypto-engine: auto
        print("esp      \(CryptoEngine.preferred.library)")
        for line in GatewayVersion.platform { print(line) }
    }
}
