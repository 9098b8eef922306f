import ArgumentParser
import Config
import Foundation
import GatewayCrypto

/// `ipsec-gw default-config`: a first configuration with a random pre-shared key, as `make run` writes it.
struct DefaultConfig: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "default-config", abstract: "Prints a first configuration with a random pre-shared key.")

    @Option(help: "The folder that `ipsec-gw pki init` made.")
    var pki = DefaultConfiguration.pki

    func run() throws {
        // 24 octets: 192 bits, well above what a client can be made to guess.
        let key = Data(SystemEntropy().octets(24)).base64EncodedString()
        guard let text = DefaultConfiguration.text(psk: key, pki: pki) else {
            throw ValidationError("--pki \(pki): give an absolute path of letters, digits and /.-_, such as \(DefaultConfiguration.pki)")
        }
        print(text, terminator: text.hasSuffix("\n") ? "" : "\n")
    }
}
