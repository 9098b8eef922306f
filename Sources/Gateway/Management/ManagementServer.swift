internal import Hummingbird
internal import HummingbirdCore
package import Logging
internal import NIOCore
internal import NIOPosix
internal import ServiceLifecycle
package import Wire

/// The HTTP API on the control socket, and `/metrics` on a TCP listener where one is configured.
/// `run()` serves until it is told to stop; `ready()` waits until everything listens.
package final class ManagementServer: Service {
    /// What the file says under `management`.
    package struct Settings: Equatable, Sendable {
        package var controlSocket: String
        package var access: SocketAccess
        /// Where Prometheus reads; nil is on the control socket alone.
        package var metrics: Endpoint?
        package var limits: Limits

        package init(
            controlSocket: String = "/run/ipsec-gw/control.sock", access: SocketAccess = SocketAccess(), metrics: Endpoint? = nil,
            limits: Limits = Limits()
        ) {
            self.controlSocket = controlSocket
            self.access = access
            self.metrics = metrics
            self.limits = limits
        }
    }

    /// Who may open the control socket: `management: socket-access`.
    package struct SocketAccess: Equatable, Sendable {
        /// A group's name; nil leaves the daemon's own.
        package var group: String?
        /// Permission bits, such as 0o660.
        package var mode: UInt16

        package init(group: String? = nil, mode: UInt16 = 0o660) {
            self.group = group
            self.mode = mode & 0o777
        }
    }

    /// What one peer can make the server do.
    package struct Limits: Equatable, Sendable {
        package var bodyOctets = 64 << 10
        package var headerOctets = 16 << 10
        package var headerCount = 64
        /// At once, per listener; more wait in the backlog.
        package var connections = 32
        /// Until a connection without a request is closed.
        package var idleTimeout = Duration.seconds(30)
        /// From the first octet of a request's head to the last of its body.
        package var requestTimeout = Duration.seconds(10)

        package init() {}
    }

    private let settings: Settings
    private let source: any ManagementSource
    private let metrics: MetricsRegistry
    private let logger: Logger
    private let readiness: Readiness

    package init(settings: Settings, source: any ManagementSource, metrics: MetricsRegistry, logger: Logger) {
        self.settings = settings
        self.source = source
        self.metrics = metrics
        self.logger = logger
        readiness = Readiness(listeners: settings.metrics == nil ? 1 : 2)
    }

    /// Returns once every listener is open; throws why one could not be opened.
    package func ready() async throws(ManagementServerError) { try await readiness.wait() }

    /// The port of the TCP listener, once it is open.
    package var metricsPort: UInt16? { readiness.metricsPort }

    /// Serves until graceful shutdown or cancellation; throws `ManagementServerError`. The socket's file is gone afterwards.
    package func run() async throws {
        do {
            try await serve()
            readiness.fail(.ended(reason: "it was told to stop"))
        } catch {
            let failure = error as? ManagementServerError ?? .ended(reason: "\(error)")
            readiness.fail(failure)
            throw failure
        }
    }

    private func serve() async throws {
        let loops = MultiThreadedEventLoopGroup.singleton
        let socket = try await ControlSocket(path: settings.controlSocket, access: settings.access, on: loops)
        defer { socket.remove() }
        let (source, metrics, limits) = (source, metrics, settings.limits)
        let exposition: @Sendable () async -> String = { await metrics.exposition(including: source) }
        try await withThrowingTaskGroup { group in
            group.addTask {
                let routes = ManagementRoutes(source: source, exposition: exposition, limits: limits)
                try await self.listen(.unixDomainSocket(path: socket.bindPath), routes) { _ throws(ManagementServerError) in
                    try socket.publish()
                    self.readiness.opened()
                }
            }
            if let endpoint = settings.metrics {
                group.addTask {
                    do {
                        try await self.listen(
                            .hostname(endpoint.address.description, port: Int(endpoint.port)), ManagementRoutes(exposition: exposition)
                        ) { channel throws(ManagementServerError) in
                            self.readiness.opened(metricsPort: channel.localAddress?.port.flatMap { UInt16(exactly: $0) })
                        }
                    } catch let error as IOError {
                        throw ManagementServerError.metricsListener(address: endpoint.description, reason: error.description)
                    }
                }
            }
            // One listener without the other is no service: the first to fail takes the other with it. Told to stop, both
            // finish what they are answering.
            do {
                while try await group.next() != nil {}
            } catch {
                group.cancelAll()
                throw error
            }
        }
    }

    /// One listener, until it is told to stop. `opened` runs before the first request is answered.
    private func listen(
        _ address: BindAddress, _ routes: ManagementRoutes, opened: @escaping @Sendable (any Channel) throws(ManagementServerError) -> Void
    ) async throws {
        let limits = settings.limits
        var quiet = logger
        // What it says at a stop is no news; what ends it is thrown.
        quiet.logLevel = .critical
        let application = Application(
            responder: routes,
            server: .http1(
                configuration: .init(
                    additionalChannelHandlers: [RequestGuard(limits: limits)],
                    idleTimeout: TimeAmount(limits.idleTimeout),
                    httpDecoderConfiguration: .init(
                        maxHeaderFieldSize: limits.headerOctets, maxHeaderListSize: limits.headerOctets,
                        maxHeaderFieldCount: limits.headerCount)
                )),
            configuration: ApplicationConfiguration(
                address: address, backlog: 64,
                availableConnectionsDelegate: MaximumAvailableConnections(limits.connections, logger: quiet)),
            onServerRunning: { [readiness] channel in
                do throws(ManagementServerError) { try opened(channel) } catch {
                    readiness.fail(error)
                    try? await channel.close()
                }
            },
            eventLoopGroupProvider: .singleton,
            logger: quiet
        )
        try await application.run()
        if let failure = readiness.failure { throw failure }
    }
}
