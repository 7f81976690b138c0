"""What somebody with bad intentions would try, each as a test: none of it gets through."""
