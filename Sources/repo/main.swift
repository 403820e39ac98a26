print("repo")
