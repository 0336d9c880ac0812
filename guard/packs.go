package guard

import (
	"embed"
	"path"
	"strings"

	"github.com/guardedpg/guardedpg/internal/strictyaml"
)

//go:embed packs/*.yaml
var packFiles embed.FS

// Packs returns the names of the built-in packs.
func Packs() []string {
	entries, err := packFiles.ReadDir("packs")
	if err != nil {
		panic(err) // embedded
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	return names
}

// PackSource returns the YAML of a built-in pack, or nil.
func PackSource(name string) []byte {
	data, err := packFiles.ReadFile(path.Join("packs", path.Base(name)+".yaml"))
	if err != nil {
		return nil
	}
	return data
}

func loadPack(name string) ([]Rule, error) {
	var pack struct {
		Rules []Rule `yaml:"rules"`
	}
	err := strictyaml.Decode(PackSource(name), "pack "+name, &pack)
	return pack.Rules, err
}
