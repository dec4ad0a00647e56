# Databricks notebook source
# MAGIC %md
# MAGIC Keeps the flowers whose petals are long enough.

# COMMAND ----------

dbutils.widgets.text("least", "1.0")
flowers = spark.read.csv(dbutils.widgets.get("iris"), header=True, inferSchema=True)

# COMMAND ----------

long = flowers.filter(flowers.petal_length >= float(dbutils.widgets.get("least")))
long.coalesce(1).write.csv(dbutils.widgets.get("long"), header=True)

# COMMAND ----------

dbutils.notebook.exit(str(long.count()))
