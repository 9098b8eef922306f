import Foundation

/// Where the built programs are: `IPSEC_GW_BIN`, or the folder that holds the running test bundle.
package enum Programs {
    package static func path(_ name: String) throws -> String {
        var folders: [String] = []
        if let named = ProcessInfo.processInfo.environment["IPSEC_GW_BIN"] {
            folders = [named]
        } else {
            let bundles = [try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")] + CommandLine.arguments.map { $0 }
            folders = bundles.compactMap { $0 }.filter { $0.hasSuffix(".xctest") }.map { ($0 as NSString).deletingLastPathComponent }
        }
        for folder in folders {
            let path = "\(folder)/\(name)"
            if FileManager.default.isExecutableFile(atPath: path) {
                return path.hasPrefix("/") ? path : "\(FileManager.default.currentDirectoryPath)/\(path)"
            }
        }
        throw LabError("no program \(name) in \(folders): build it first, or set IPSEC_GW_BIN")
    }
}
