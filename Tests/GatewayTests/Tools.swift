import Foundation

/// Programs that read what we wrote and share no code with us.
enum Tool: String {
    case openssl = "/usr/bin/openssl"
    case python = "/usr/bin/python3"

    /// In CI they are asked for in any case: a test that cannot run there fails.
    static var arePresent: Bool {
        ProcessInfo.processInfo.environment["CI"] != nil
            || [openssl, python].allSatisfy { FileManager.default.isExecutableFile(atPath: $0.rawValue) }
    }
    static let absence = "needs /usr/bin/openssl and /usr/bin/python3"

    func run(_ arguments: [String], in folder: String = "/") throws -> (status: Int32, text: String) {
        let process = Process()
        let pipe = Pipe()
        process.executableURL = URL(filePath: rawValue)
        process.arguments = arguments
        process.currentDirectoryURL = URL(filePath: folder)
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let octets = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: octets, as: UTF8.self))
    }
}

/// A folder of one test, gone with it.
final class Scratch {
    let path = FileManager.default.temporaryDirectory.appending(path: "gateway-tests-\(UUID().uuidString)").path

    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
    deinit { try? FileManager.default.removeItem(atPath: path) }

    static func text(_ path: String) throws -> String { try String(contentsOfFile: path, encoding: .utf8) }
    static func octets(_ path: String) throws -> [UInt8] { try [UInt8](Data(contentsOf: URL(filePath: path))) }

    static func mode(_ path: String) throws -> Int {
        try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int ?? -1
    }

    /// Files below a folder, in order.
    static func files(_ folder: String) -> [String] {
        let all = FileManager.default.enumerator(atPath: folder)?.compactMap { $0 as? String } ?? []
        return all.filter { name in
            var isFolder: ObjCBool = false
            return FileManager.default.fileExists(atPath: "\(folder)/\(name)", isDirectory: &isFolder) && !isFolder.boolValue
        }.sorted()
    }
}
