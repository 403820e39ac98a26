import RepoBase
import Testing

@testable import StorageRemote

@Suite("Locations behind SFTP")
struct SFTPLocationTests {
    @Test(
        "are read as people write them",
        arguments: [
            ("//backup@nas.example:2222/srv/repo", "backup", "nas.example", UInt16(2222), "/srv/repo", "sftp://backup@nas.example:2222/srv/repo"),
            ("//nas/srv/repo/", nil, "nas", nil, "/srv/repo", "sftp://nas/srv/repo"),
            ("//nas/~/repo", nil, "nas", nil, "repo", "sftp://nas/~/repo"),
            ("//u@[fe80::1]:22/a%20b", "u", "fe80::1", 22, "/a b", "sftp://u@[fe80::1]:22/a%20b"),
            ("backup@nas:repo", "backup", "nas", nil, "repo", "sftp://backup@nas/~/repo"),
            ("nas:/srv/a%b", nil, "nas", nil, "/srv/a%b", "sftp://nas/srv/a%25b"),
            ("a%b@nas:repo", "a%b", "nas", nil, "repo", "sftp://a%25b@nas/~/repo"),
            ("[::1]:/srv", nil, "::1", nil, "/srv", "sftp://[::1]/srv"),
        ])
    func parsed(_ text: String, _ user: String?, _ host: String, _ port: UInt16?, _ path: String, _ description: String) throws {
        let location = try SFTPLocation(parsing: text)
        #expect(location.user == user && location.host == host && location.port == port && location.path == path)
        #expect(location.description == description)
        #expect(try SFTPLocation(parsing: String(description.dropFirst(5))) == location, "its name means the same")
    }

    @Test(
        "are refused when they are none, or would be taken for something else",
        arguments: [
            "backup@nas:/~/repo", "//nas/~//~/repo", "//na]s:22:22/repo",
            "", "//", "//host", "host", "//host:port/x", "//host:0/x", "//-oProxyCommand=x/y", "//u@-x/y", "//u:secret@host/x", "//ho st/x",
            "//host/../x", "//host/a/../../x", "//host/%zz", "//host/a\nb", "//h;x/y", "//$(x)/y", "-x:y", "host:", "host:~", "host:~/x",
            "//host/x?port=1", "//host/x?connections=0", "//host/x?connections=17", "//host/x?identity", "//host/%00",
        ])
    func refused(_ text: String) throws {
        let error = #expect(throws: RepoError.self) { try SFTPLocation(parsing: text) }
        #expect(error?.code == .usage && error?.message.contains("secret") == false)
    }

    @Test func optionsAndCommand() throws {
        let location = try SFTPLocation(parsing: "//u@h:7/x?identity=/k%20e&known-hosts=/a%20b&ssh-config=/c&connections=2")
        #expect(location.connections == 2)
        let words = try SSHCommand(location, command: "sshpass -f '/my file' ssh -v").words
        #expect(words.prefix(5) == ["sshpass", "-f", "/my file", "ssh", "-v"])
        #expect(words.suffix(8) == ["-p", "7", "-l", "u", "-s", "--", "h", "sftp"])
        #expect(words.contains("StrictHostKeyChecking=yes") && words.contains("BatchMode=yes") && words.contains("UserKnownHostsFile=\"/a b\""))
        #expect(words.contains("/k e"))
    }

    @Test(
        "Commands are split into words and reach no shell",
        arguments: [
            ("ssh", ["ssh"]), ("  ssh\t-i  a ", ["ssh", "-i", "a"]), ("ssh \"a b\" 'c \"d'", ["ssh", "a b", "c \"d"]), ("ssh a\\ b '\\' \"\"", ["ssh", "a b", "\\", ""]),
            ("ssh $(x) ; y", ["ssh", "$(x)", ";", "y"]),
        ])
    func words(_ text: String, _ words: [String]) throws { #expect(try SSHCommand.split(text) == words) }

    @Test("Commands that are none, or let any host's key pass, are refused", arguments: [
        "", " ", "ssh 'a", "ssh \\", "ssh -oStrictHostKeyChecking=no", "ssh -o 'StrictHostKeyChecking accept-new'", "ssh -o stricthostkeychecking=off",
    ])
    func refusedCommand(_ text: String) throws {
        let location = try SFTPLocation(parsing: "//h/x")
        #expect(throws: RepoError.self) { try SSHCommand(location, command: text) }
    }
}
