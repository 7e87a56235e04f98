// Package conformance runs the official Gateway API suite, its mesh profiles, against the mesh in the cluster that
// KUBECONFIG names. scripts/conformance.sh builds it, brings what it needs and runs it.
package conformance

import (
	"fmt"
	"os"
	"sort"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/gateway-api/conformance"
	conformancev1 "sigs.k8s.io/gateway-api/conformance/apis/v1"
	"sigs.k8s.io/gateway-api/conformance/tests"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/features"
)

// Extended features that are claimed; core ones follow from the profiles. Those named HTTPRoute… are of gateways, and the
// suite asks for them in tests of meshes too.
var claimed = []features.FeatureName{
	features.SupportMeshClusterIPMatching,
	features.SupportMeshConsumerRoute,
	features.SupportMeshHTTPRouteRewritePath,
	features.SupportMeshHTTPRouteSchemeRedirect,
	features.SupportMeshHTTPRouteRedirectPort,
	features.SupportMeshHTTPRouteRedirectPath,
	features.SupportMeshHTTPRouteBackendRequestHeaderModification,
	features.SupportMeshHTTPRouteQueryParamMatching,
	features.SupportMeshHTTPRouteNamedRouteRule,
	features.SupportHTTPRouteParentRefPort,
	features.SupportHTTPRouteResponseHeaderModification,
	features.SupportHTTPRoute303RedirectStatusCode,
	features.SupportHTTPRoute307RedirectStatusCode,
	features.SupportHTTPRoute308RedirectStatusCode,
}

// What became of one test.
type result struct {
	test suite.ConformanceTest
	word string
	took time.Duration
}

func TestConformance(t *testing.T) {
	options := conformance.DefaultOptions(t)
	options.ConformanceProfiles = []suite.ConformanceProfileName{
		suite.MeshHTTPConformanceProfileName, suite.MeshGRPCConformanceProfileName,
	}
	options.SupportedFeatures = claimed
	options.NamespaceLabels = map[string]string{"istio-injection": "enabled"}
	options.Implementation = conformancev1.Implementation{
		Organization: "leno", Project: "leno", URL: "https://leno.dev", Version: os.Getenv("LENO_VERSION"),
		Contact: []string{"@leno/maintainers"},
	}
	var results []result
	started := time.Now()
	options.Hook = func(t *testing.T, test suite.ConformanceTest, of *suite.ConformanceTestSuite) {
		if of.SupportedFeatures.HasAll(test.Features...) && (of.RunTest == "" || of.RunTest == test.ShortName) {
			results = append(results, result{test, word(t), time.Since(started)})
		}
		started = time.Now()
	}
	running, err := suite.NewConformanceTestSuite(options)
	if err != nil {
		t.Fatal(err)
	}
	running.Setup(t, tests.ConformanceTests)
	started = time.Now()
	t.Run("suite", func(t *testing.T) {
		if err := running.Run(t, tests.ConformanceTests); err != nil {
			t.Fatal(err)
		}
	})
	table(results)
	report, err := running.Report()
	if err != nil {
		t.Fatal(err)
	}
	profiles(report)
	if len(results) == 0 {
		t.Fatal("no test ran")
	}
}

func word(t *testing.T) string {
	switch {
	case t.Failed():
		return "FAILED"
	case t.Skipped():
		return "skipped"
	default:
		return "passed"
	}
}

// One line for each test, to be read by people and kept in docs/gateway-api.md.
func table(results []result) {
	fmt.Printf("\nCONFORMANCE %-44s %-8s %8s  %s\n", "TEST", "RESULT", "TOOK", "FEATURES")
	for _, r := range results {
		var names []string
		for _, feature := range r.test.Features {
			if feature != features.SupportMesh {
				names = append(names, string(feature))
			}
		}
		sort.Strings(names)
		line := fmt.Sprintf("%-44s %-8s %7.1fs  %s", r.test.ShortName, r.word, r.took.Seconds(), strings.Join(names, " "))
		fmt.Println("CONFORMANCE", strings.TrimRight(line, " "))
	}
}

// The suite's own reckoning.
func profiles(report *conformancev1.ConformanceReport) {
	for _, profile := range report.ProfileReports {
		core := profile.Core.Statistics
		fmt.Printf("CONFORMANCE profile %s, core: %s, %d passed, %d failed, %d skipped\n",
			profile.Name, profile.Core.Result, core.Passed, core.Failed, core.Skipped)
		if extended := profile.Extended; extended != nil {
			fmt.Printf("CONFORMANCE profile %s, extended: %s, %d passed, %d failed, %d skipped, %d features supported, %d not\n",
				profile.Name, extended.Result, extended.Statistics.Passed, extended.Statistics.Failed,
				extended.Statistics.Skipped, len(extended.SupportedFeatures), len(extended.UnsupportedFeatures))
		}
	}
	fmt.Printf("CONFORMANCE Gateway API %s, %s channel\n", report.GatewayAPIVersion, report.GatewayAPIChannel)
}
