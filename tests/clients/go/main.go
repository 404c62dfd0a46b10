package main

import "os"

func main() {
	map[string]func(string){"services": services, "protocols": protocols}[os.Args[1]](os.Args[2])
}
