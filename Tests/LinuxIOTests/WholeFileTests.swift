import Foundation
import Glibc
import LinuxIO
import Testing

@Suite("Files and folders that are there whole or not at all")
struct WholeFileTests {
    let folder: String

    init() throws {
        folder = FileManager.default.temporaryDirectory.appending(path: "whole-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    private func names(_ path: String = "") throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: folder + path).sorted() }
    private func text(_ name: String) throws -> String { try String(contentsOfFile: "\(folder)/\(name)", encoding: .utf8) }

    private func mode(_ name: String) throws -> Int {
        try FileManager.default.attributesOfItem(atPath: "\(folder)/\(name)")[.posixPermissions] as? Int ?? -1
    }

    private func replace(_ name: String, _ text: String, mode: UInt16 = 0o600) throws {
        try Array(text.utf8).withUnsafeBytes { try WholeFile.replace("\(folder)/\(name)", with: $0, mode: mode) }
    }

    @Test func aFileIsReplaced() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try replace("key", "one")
        #expect(try text("key") == "one" && mode("key") == 0o600)
        // what an interrupted run left is no hindrance, and is never followed
        try "mine".write(toFile: "\(folder)/other", atomically: true, encoding: .utf8)
        symlink("\(folder)/other", "\(folder)/key.new")
        try replace("key", "two", mode: 0o644)
        #expect(try text("key") == "two" && mode("key") == 0o644 && text("other") == "mine")
        try replace("empty", "")
        #expect(try names() == ["empty", "key", "other"])
    }

    @Test func whatCannotBeReplacedStays() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try FileManager.default.createDirectory(atPath: "\(folder)/full/inner", withIntermediateDirectories: true)
        #expect(throws: SystemError.self) { try replace("full", "text") }
        #expect(throws: SystemError.self) { try replace("missing/file", "text") }
        #expect(try names() == ["full"] && names("/full") == ["inner"])
    }

    @Test func aFolderGetsItsNameWhenItIsComplete() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var making = try FolderInMaking("\(folder)/a/b/c")
        try Array("1".utf8).withUnsafeBytes { try making.add("one", $0, mode: 0o600) }
        try Array("2".utf8).withUnsafeBytes { try making.add("below/it/two", $0, mode: 0o644) }
        #expect(try names("/a/b") == ["c.new"])
        try making.finish()
        #expect(try names("/a/b") == ["c"] && names("/a/b/c") == ["below", "one"])
        #expect(try text("a/b/c/below/it/two") == "2" && mode("a/b/c") == 0o700 && mode("a/b/c/one") == 0o600)
        #expect(FileStatus.exists("\(folder)/a/b/c") && !FileStatus.exists("\(folder)/a/b/d"))
    }

    @Test func anUnfinishedFolderGoesAway() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        do {
            var making = try FolderInMaking("\(folder)/c")
            try Array("1".utf8).withUnsafeBytes { try making.add("below/one", $0, mode: 0o600) }
            #expect(throws: SystemError.self) { _ = try FolderInMaking("\(folder)/c") }
            let refusesTheSameName = making.refusesAgain("below/one")
            #expect(refusesTheSameName)
        }
        #expect(try names() == [])
        // a place that is taken
        try FileManager.default.createDirectory(atPath: "\(folder)/c/inner", withIntermediateDirectories: true)
        let making = try FolderInMaking("\(folder)/c")
        let cannotFinish = making.cannotFinish()
        #expect(cannotFinish)
        #expect(try names() == ["c"] && names("/c") == ["inner"])
    }
}

extension FolderInMaking {
    mutating func refusesAgain(_ name: String) -> Bool {
        do {
            try Array("2".utf8).withUnsafeBytes { try add(name, $0, mode: 0o600) }
            return false
        } catch {
            return true
        }
    }

    consuming func cannotFinish() -> Bool {
        do {
            try finish()
            return false
        } catch {
            return true
        }
    }
}
