import ArgumentParser
import Config
import Foundation
import Gateway
import GatewayCrypto
import Logging
import ManagementAPI
import ServiceLifecycle
import UnixSignals

/// `ipsec-gw run`: validates, then serves until SIGTERM or SIGINT; SIGHUP reloads.
struct Run: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Runs the gateway.")

    @Option(name: .long, help: "The configuration file.")
    var config = Command.defaultPath

    func run() async throws {
        // Before the first use of the library: what it frees is wiped from here on (threats.md P28).
        guard CryptoLibrary.wipeFreedMemory() else {
            throw CleanFailure("ipsec-gw: the cryptographic library was used before it could be told to wipe")
        }
        let configuration = try load()
        let log = GatewayLog(
            format: GatewayLog.Format(rawValue: configuration.management.logFormat.rawValue) ?? .text,
            level: LogLevel(rawValue: configuration.management.logLevel.rawValue) ?? .info)
        log.bootstrap()
        let metrics = MetricsRegistry()
        defer { log.flush() }
        do {
            let gateway = try await Gateway(configuration, gatewayLog: log, metrics: metrics) {
                // Past stdio's buffer: whoever waits for this line reads a pipe.
                FileHandle.standardOutput.write(Data("ready\n".utf8))
            }
            let group = ServiceGroup(
                configuration: .init(
                    services: [
                        .init(service: gateway), .init(service: HangUp(gateway: gateway), successTerminationBehavior: .ignore),
                    ],
                    gracefulShutdownSignals: [.sigterm, .sigint], logger: log.logger("lifecycle")))
            try await group.run()
            gateway.release()
        } catch let error as StartupError {
            throw CleanFailure("ipsec-gw: \(error)")
        }
    }

    /// The configuration, or every reason against it on standard error.
    private func load() throws -> Configuration {
        let (loaded, problems) = Configuration.load(text: try ConfigurationFile.text(config), file: config)
        var all = problems
        var result = loaded
        if var configuration = loaded {
            // What `check` warns of, because a later version brings it, stops a run: accepted and ignored is nothing.
            let stopping = Set(configuration.unsupported.map { [$0.keyPath, $0.found] })
            all = problems.filter { !stopping.contains([$0.keyPath, $0.found]) } + configuration.unsupported
            all += configuration.resolveSecrets()
            result = configuration
        }
        for problem in all.sorted(by: { $0.position < $1.position }) { FileHandle.standardError.write(Data("\(problem)\n".utf8)) }
        guard let result, !all.contains(where: { $0.severity == .error }) else {
            throw CleanFailure("ipsec-gw: \(config) cannot be run as it is; `ipsec-gw check \(config)` shows the same list")
        }
        return result
    }
}

/// SIGHUP: reload.
struct HangUp: Service {
    let gateway: Gateway

    func run() async throws {
        await cancelWhenGracefulShutdown {
            for await _ in await UnixSignalsSequence(trapping: .sighup) { _ = await gateway.reloadConfiguration() }
        }
    }
}

/// Ends the program with a message that is already complete.
struct CleanFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}
