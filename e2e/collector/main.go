// Command otelcol is an OpenTelemetry collector for the end-to-end tests: the collector's own OTLP receiver, and an
// exporter that writes what it gets as JSON lines (OTLP's JSON form), one request a line, to the file of its settings.
package main

import (
	"context"
	"log"
	"os"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/yamlprovider"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/service/telemetry/otelconftelemetry"
)

// Config is the exporter's section of the settings.
type Config struct {
	// Path of the file, which is made or grows.
	Path string `mapstructure:"path"`
}

func main() {
	settings := otelcol.CollectorSettings{
		BuildInfo: component.BuildInfo{Command: "otelcol", Description: "collector of Leno's tests", Version: "1"},
		Factories: factories,
		ConfigProviderSettings: otelcol.ConfigProviderSettings{
			ResolverSettings: confmap.ResolverSettings{
				ProviderFactories: []confmap.ProviderFactory{yamlprovider.NewFactory()},
				DefaultScheme:     "yaml",
			},
		},
	}
	if err := otelcol.NewCommand(settings).Execute(); err != nil {
		log.Fatal(err)
	}
}

func factories() (otelcol.Factories, error) {
	receivers, err := otelcol.MakeFactoryMap[receiver.Factory](otlpreceiver.NewFactory())
	if err != nil {
		return otelcol.Factories{}, err
	}
	exporters, err := otelcol.MakeFactoryMap[exporter.Factory](linesFactory())
	return otelcol.Factories{
		Receivers: receivers,
		Exporters: exporters,
		Telemetry: otelconftelemetry.NewFactory(),
	}, err
}

func linesFactory() exporter.Factory {
	return exporter.NewFactory(
		component.MustNewType("lines"),
		func() component.Config { return &Config{} },
		exporter.WithTraces(func(_ context.Context, _ exporter.Settings, c component.Config) (exporter.Traces, error) {
			return open(c)
		}, component.StabilityLevelStable),
		exporter.WithLogs(func(_ context.Context, _ exporter.Settings, c component.Config) (exporter.Logs, error) {
			return open(c)
		}, component.StabilityLevelStable),
	)
}

type lines struct {
	component.StartFunc
	component.ShutdownFunc
	lock sync.Mutex
	file *os.File
}

func open(c component.Config) (*lines, error) {
	file, err := os.OpenFile(c.(*Config).Path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	return &lines{file: file}, err
}

func (l *lines) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (l *lines) ConsumeTraces(_ context.Context, traces ptrace.Traces) error {
	text, err := (&ptrace.JSONMarshaler{}).MarshalTraces(traces)
	return l.write(text, err)
}

func (l *lines) ConsumeLogs(_ context.Context, logs plog.Logs) error {
	text, err := (&plog.JSONMarshaler{}).MarshalLogs(logs)
	return l.write(text, err)
}

func (l *lines) write(text []byte, err error) error {
	if err != nil {
		return err
	}
	l.lock.Lock()
	defer l.lock.Unlock()
	_, err = l.file.Write(append(text, '\n'))
	return err
}
