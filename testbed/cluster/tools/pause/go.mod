module kuscia-chart/testbed/cluster/tools/pause

go 1.26.0
