import Foundation
import Glibc
import Logging
import ManagementAPI
import Testing

@testable import Gateway

@Suite("configuration.md: the control socket's file")
struct ControlSocketTests {
    private func server(_ settings: ManagementServer.Settings) -> ManagementServer {
        ManagementServer(
            settings: settings, source: FakeGateway(), metrics: MetricsRegistry(), logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    /// Runs a server that cannot start; returns why.
    private func failure(_ settings: ManagementServer.Settings) async -> ManagementServerError? {
        let server = server(settings)
        let running = Task { try await server.run() }
        defer { running.cancel() }
        do {
            try await server.ready()
            return nil
        } catch { return error }
    }

    @Test(arguments: [0o600, 0o660, 0o666] as [UInt16])
    func configuration_socketAccess(mode: UInt16) async throws {
        try await Daemon.with(
            .init(),
            {
                $0.access.mode = mode
                $0.access.group = getuid() == 0 ? "adm" : nil
            }
        ) { daemon in
            var status = stat()
            #expect(lstat(daemon.socket, &status) == 0)
            #expect(status.st_mode & S_IFMT == S_IFSOCK)
            #expect(UInt16(truncatingIfNeeded: status.st_mode & 0o7777) == mode)
            if getuid() == 0 { #expect(status.st_gid == getgrnam("adm").pointee.gr_gid) }
        }
    }

    @Test func staleSocketIsReplaced() async throws {
        try await withFolder { folder in
            let path = folder + "/control.sock"
            close(try #require(RawSocket.bound(path)))
            let server = server(.init(controlSocket: path))
            let running = Task { try await server.run() }
            try await server.ready()
            #expect(try await ManagementClient(socketPath: path).status().name == "segw-1")
            running.cancel()
            _ = await running.result
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == [])
        }
    }

    @Test func livingSocketIsNotTaken() async throws {
        try await Daemon.with { daemon in
            #expect(await failure(.init(controlSocket: daemon.socket)) == .inUse(path: daemon.socket))
            let sessions = try await daemon.client.sessions()
            #expect(sessions.count == 2)
        }
    }

    @Test func otherFilesAreNotTouched() async throws {
        try await withFolder { folder in
            let path = folder + "/control.sock"
            try Data("precious".utf8).write(to: URL(fileURLWithPath: path))
            #expect(await failure(.init(controlSocket: path)) == .notASocket(path: path))
            #expect(try String(contentsOfFile: path, encoding: .utf8) == "precious")
        }
    }

    @Test func errorsSayWhatToDo() async throws {
        try await withFolder { folder in
            let unknown = await failure(.init(controlSocket: folder + "/c", access: .init(group: "no-such-group")))
            #expect(unknown == .unknownGroup("no-such-group"))
            #expect(unknown?.description.contains("management.socket-access.group") == true)
            let deep = await failure(.init(controlSocket: folder + "/a/b/c"))
            #expect(deep.map { "\($0)".contains("mkdir") && "\($0)".contains("management.control-socket") } == true, "\(String(describing: deep))")
            let long = await failure(.init(controlSocket: folder + "/" + String(repeating: "x", count: 100)))
            #expect(long.map { "\($0)".contains("too long") } == true)
            let left = try FileManager.default.contentsOfDirectory(atPath: folder)
            #expect(left == [])
        }
    }

    @Test func theFolderIsMade() async throws {
        try await withFolder { folder in
            let server = server(.init(controlSocket: folder + "/run/control.sock"))
            let running = Task { try await server.run() }
            try await server.ready()
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder + "/run") == ["control.sock"])
            running.cancel()
            _ = await running.result
        }
    }

    @Test func aTakenMetricsPortIsNamed() async throws {
        try await Daemon.with(.everyday, { $0.metrics = loopback(port: 0) }) { daemon in
            let port = try #require(daemon.server.metricsPort)
            try await withFolder { folder in
                let error = await failure(.init(controlSocket: folder + "/c", metrics: loopback(port: port)))
                #expect(error.map { "\($0)".contains("127.0.0.1:\(port)") && "\($0)".contains("management.metrics") } == true)
            }
        }
    }
}
